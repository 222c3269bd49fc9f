-- Give a running job back: to the front of its queue (its old score), to another queue, to wait for a time
-- (`delay_ms`), or to wait in no index until somebody wakes it (`delay_ms` -1).
-- Then claim the next one for the same slot, when `queues` is not empty.
-- INCLUDE: common, standing, groups, running, grant
-- KEYS: prefix
-- ARGV: worker, label, slot, nonce, lease_ms, queues, stamp, id, token, queue, delay_ms, floor, message
-- RETURNS: {1 or 0, a grant (see grant.lua) or {}}; 1 also when this very move was made before

local id, job = ARGV[8], job_key(ARGV[8])
local found = redis.call('HMGET', job, 'token', 'state', 'slot', 'score', 'progress', 'stage', 'cancel', 'again',
  'floor', 'queue', 'pipeline', 'tenant', 'groups')
local answer = 0
if found[1] == ARGV[9] and found[2] == 'running' and found[12] then
  answer = 1
  local score, delay_ms = tonumber(found[4] or '') or now_ms(), tonumber(ARGV[11])
  leave_running(id, found[3], limited_groups(found[10] or '', found[11], found[12], found[13]))
  redis.call('HSET', job, 'score', text(score), 'floor', text(math.max(tonumber(ARGV[12]), tonumber(ARGV[9]))))
  redis.call('HDEL', job, 'expired', 'nonce', 'again')
  local status = 'pending'
  -- Somebody woke it while it ran, or wants it cancelled: it must not sleep first.
  if delay_ms == 0 or found[7] or found[8] then
    to_ready(id, ARGV[10], text(score), found[12])
  elseif delay_ms > 0 then
    status = 'waiting'
    to_delayed(id, ARGV[10], now_ms() + delay_ms)
  else
    status = 'waiting'
    redis.call('HSET', job, 'state', 'waiting', 'queue', ARGV[10])
  end
  tell(id, {status = status, stage = found[6] or '', progress = tonumber(found[5] or '') or 0, worker_id = ARGV[2],
    timestamp = ARGV[7], active = {}, message = ARGV[13]}, true)
elseif found[1] == ARGV[9] or found[9] == ARGV[9] then
  answer = 1 -- made before; it may have been claimed again since
end
if ARGV[6] == '' then return {answer, {}} end
return {answer, grant({worker = ARGV[1], label = ARGV[2], slot = ARGV[3], nonce = ARGV[4], lease_ms = tonumber(ARGV[5]),
  queues = ARGV[6], popped_queue = '', stamp = ARGV[7]})}
