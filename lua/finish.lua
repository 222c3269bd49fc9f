-- End a job in Redis after SQL has ended it; then claim the next one for the same slot, when `queues` is not empty.
-- INCLUDE: common, standing, groups, running, grant
-- KEYS: prefix
-- ARGV: worker, label, slot, nonce, lease_ms, queues, stamp, id, token, status, stage, progress, message
-- RETURNS: {done|already|refused, a grant (see grant.lua) or {}}

local id, job = ARGV[8], job_key(ARGV[8])
local found = redis.call('HMGET', job, 'token', 'state', 'slot', 'progress', 'seq', 'queue', 'pipeline', 'tenant',
  'groups')
local answer = 'refused'
if found[1] == ARGV[9] and found[2] == 'running' then
  answer = 'done'
  leave_running(id, found[3], limited_groups(found[6] or '', found[7], found[8], found[9]))
  local progress = math.max(tonumber(found[4] or '') or 0, tonumber(ARGV[12]) or 0)
  redis.call('HSET', job, 'state', ARGV[10], 'progress', tostring(progress))
  redis.call('HDEL', job, 'cancel', 'expired', 'nonce')
  tell(id, {status = ARGV[10], stage = ARGV[11], progress = progress, worker_id = ARGV[2], timestamp = ARGV[7],
    active = {}, message = ARGV[13]}, true, found[5])
  let_expire(id)
elseif found[1] == ARGV[9] then
  answer = 'already'
end
if ARGV[6] == '' then return {answer, {}} end
return {answer, grant({worker = ARGV[1], label = ARGV[2], slot = ARGV[3], nonce = ARGV[4], lease_ms = tonumber(ARGV[5]),
  queues = ARGV[6], popped_queue = '', stamp = ARGV[7]})}
