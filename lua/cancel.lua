-- Cancel a job that does not run; flag one that does: its next beat tells its worker.
-- INCLUDE: common
-- KEYS: prefix
-- ARGV: id, stamp, in_flight
-- RETURNS: what it was: ready, delayed, running, another state, or none

local id, job = ARGV[1], job_key(ARGV[1])
local found = redis.call('HMGET', job, 'state', 'queue', 'progress', 'stage', 'expired', 'score')
local state = found[1]
-- In flight in SQL (its lease ran out, or its worker could not reach SQL at its end): the next begin decides, at once.
local waits = state == 'ready' or state == 'delayed'
if state == 'running' or (state == 'ready' and found[5]) or (waits and ARGV[3] == '1') then
  if state == 'delayed' and found[2] and tonumber(found[6] or '') then
    redis.call('ZREM', P .. 'delayed', id)
    to_ready(id, found[2], found[6])
  end
  redis.call('HSET', job, 'cancel', 1)
  redis.call('PUBLISH', P .. 'cancel', id)
  return state
end
if state ~= 'ready' and state ~= 'delayed' then return state or 'none' end
if state == 'ready' and found[2] then
  redis.call('ZREM', ready_key(found[2]), id)
  take_bell(found[2], id)
elseif state == 'delayed' then
  redis.call('ZREM', P .. 'delayed', id)
end
redis.call('HSET', job, 'state', 'cancelled')
tell(id, {status = 'cancelled', stage = found[4] or '', progress = tonumber(found[3] or '') or 0, worker_id = '',
  timestamp = ARGV[2], active = {}, message = ''}, true)
redis.call('EXPIRE', job, READ_LATE_SECONDS)
redis.call('EXPIRE', P .. 'events:' .. id, READ_LATE_SECONDS)
return state
