-- Promote what is due, and put every job whose lease ran out back at the front of its queue.
-- After a silence longer than `gap_ms` (Redis was away) nobody could beat: nothing expires for one lease.
-- INCLUDE: common
-- KEYS: prefix
-- ARGV: lease_ms, gap_ms, limit, stamp
-- RETURNS: {expired, promoted, set aside, 1 when Redis remembered no sweep at all}

local now_ms = math.floor(now_us() / 1000)
local state = redis.call('HMGET', P .. 'swept', 'at', 'grace_until')
local before, grace = tonumber(state[1] or ''), tonumber(state[2] or '') or 0
if before and now_ms - before > tonumber(ARGV[2]) then
  grace = now_ms + tonumber(ARGV[1])
end
redis.call('HSET', P .. 'swept', 'at', text(now_ms), 'grace_until', text(grace))

local promoted = promote(now_ms, tonumber(ARGV[3]))
local expired, bad = 0, 0
if now_ms >= grace then
  local late = redis.call('ZRANGEBYSCORE', P .. 'leases', '-inf', text(now_ms), 'LIMIT', 0, ARGV[3])
  for _, id in ipairs(late) do
    local found = redis.pcall('HMGET', job_key(id), 'state', 'queue', 'score', 'token', 'slot', 'progress', 'stage')
    if found[1] == 'running' and found[2] and tonumber(found[3] or '') and tonumber(found[4] or '') then
      leave_slot(id, found[5])
      redis.call('HSET', job_key(id), 'expired', found[4])
      to_ready(id, found[2], found[3])
      tell(id, {status = 'pending', stage = found[7] or '', progress = tonumber(found[6] or '') or 0, worker_id = '',
        timestamp = ARGV[4], active = {}, message = 'its worker stopped answering'}, true)
      expired = expired + 1
    else
      leave_slot(id, found[5])
      redis.call('SADD', P .. 'bad', id)
      bad = bad + 1
    end
  end
end
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', P .. 'workers', '-inf', text(now_ms - 10 * tonumber(ARGV[1])))) do
  redis.call('ZREM', P .. 'workers', worker)
end
return {expired, promoted, bad, before and 0 or 1}
