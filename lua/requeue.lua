-- Give a running job back: to the front of its queue (its old score), to another queue, or to wait.
-- Then claim the next one for the same slot, when `queues` is not empty.
-- INCLUDE: common, grant
-- KEYS: prefix
-- ARGV: worker, label, slot, nonce, lease_ms, queues, stamp, id, token, queue, delay_ms, floor, message
-- RETURNS: {1 or 0, a grant (see grant.lua) or {}}; 1 also when this very move was made before

local id, job = ARGV[8], job_key(ARGV[8])
local found = redis.call('HMGET', job, 'token', 'state', 'slot', 'score', 'progress', 'stage', 'cancel', 'again',
  'floor')
local answer = 0
if found[1] == ARGV[9] and found[2] == 'running' then
  answer = 1
  local now_ms = math.floor(now_us() / 1000)
  local score, delay_ms = tonumber(found[4] or '') or now_ms, tonumber(ARGV[11])
  leave_slot(id, found[3])
  redis.call('HSET', job, 'score', text(score), 'floor', text(math.max(tonumber(ARGV[12]), tonumber(ARGV[9]))))
  redis.call('HDEL', job, 'expired', 'nonce', 'again')
  -- Somebody woke it while it ran, or wants it cancelled: it must not sleep first.
  if delay_ms > 0 and not found[7] and not found[8] then
    to_delayed(id, ARGV[10], now_ms + delay_ms)
  else
    to_ready(id, ARGV[10], text(score))
  end
  local status = 'pending'
  if delay_ms > 0 then status = 'waiting' end
  tell(id, {status = status, stage = found[6] or '', progress = tonumber(found[5] or '') or 0, worker_id = ARGV[2],
    timestamp = ARGV[7], active = {}, message = ARGV[13]}, true)
elseif found[1] == ARGV[9] or found[9] == ARGV[9] then
  answer = 1 -- made before; it may have been claimed again since
end
if ARGV[6] == '' then return {answer, {}} end
return {answer, grant({worker = ARGV[1], label = ARGV[2], slot = ARGV[3], nonce = ARGV[4], lease_ms = tonumber(ARGV[5]),
  queues = ARGV[6], popped_queue = '', stamp = ARGV[7]})}
