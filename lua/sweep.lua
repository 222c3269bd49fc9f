-- Promote what is due, put every job whose lease ran out back at the front of its queue, and wake groups with room.
-- After a silence longer than `gap_ms` (Redis was away) nobody could beat: nothing expires for one lease.
-- INCLUDE: common, standing, groups, running
-- KEYS: prefix
-- ARGV: lease_ms, gap_ms, limit, stamp
-- RETURNS: {expired, promoted, set aside, woken}

local state = redis.call('HMGET', P .. 'swept', 'at', 'grace_until')
local before, grace = tonumber(state[1] or ''), tonumber(state[2] or '') or 0
if before and now_ms() - before > tonumber(ARGV[2]) then grace = now_ms() + tonumber(ARGV[1]) end
-- A clock that was put back must not stretch the grace: it is never longer than one lease.
grace = math.min(grace, now_ms() + tonumber(ARGV[1]))
redis.call('HSET', P .. 'swept', 'at', text(now_ms()), 'grace_until', text(grace))

local promoted = promote(tonumber(ARGV[3]))
local expired, bad, woken = 0, 0, 0
if now_ms() >= grace then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'leases', '-inf', text(now_ms()), 'LIMIT', 0, ARGV[3])) do
    local found = redis.pcall('HMGET', job_key(id), 'state', 'queue', 'score', 'token', 'slot', 'progress', 'stage',
      'pipeline', 'tenant', 'groups')
    if found[1] == 'running' and found[2] and tonumber(found[3] or '') and tonumber(found[4] or '') and found[9] then
      leave_running(id, found[5], limited_groups(found[2], found[8], found[9], found[10]))
      redis.call('HSET', job_key(id), 'expired', found[4])
      to_ready(id, found[2], found[3], found[9])
      tell(id, {status = 'pending', stage = found[7] or '', progress = tonumber(found[6] or '') or 0, worker_id = '',
        timestamp = ARGV[4], active = {}, message = 'its worker stopped answering'}, true)
      expired = expired + 1
    else
      leave_running(id, found[5], limited_groups(found[2] or '', found[8], found[9], found[10]))
      redis.call('SADD', P .. 'bad', id)
      bad = bad + 1
    end
  end
end
-- Nobody should sleep beside free room; a limit that was raised or lifted lets its parked jobs go page by page.
for _, name in ipairs(redis.call('SRANDMEMBER', P .. 'parking', 32)) do
  woken = woken + wake_page(name, 32)
end
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', P .. 'workers', '-inf', text(now_ms() - 10 * tonumber(ARGV[1])))) do
  redis.call('ZREM', P .. 'workers', worker)
end
return {expired, promoted, bad, woken}
