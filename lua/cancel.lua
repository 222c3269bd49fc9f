-- Cancel a job that does not run; flag one that does: its next beat tells its worker.
-- INCLUDE: common, standing, groups
-- KEYS: prefix
-- ARGV: id, stamp, in_flight
-- RETURNS: what it was: ready, delayed, parked, waiting, running, another state, or none

local id, job = ARGV[1], job_key(ARGV[1])
local found = redis.call('HMGET', job, 'state', 'queue', 'progress', 'stage', 'expired', 'score', 'tenant', 'parked',
  'pipeline', 'groups')
local state, queue = found[1], found[2]
local rests = state == 'ready' or state == 'delayed' or state == 'parked' or state == 'waiting'
-- In flight in SQL (its lease ran out, or its worker could not reach SQL at its end): the next begin decides, at once.
if state == 'running' or (rests and (found[5] or ARGV[3] == '1')) then
  if (state == 'delayed' or state == 'waiting') and queue and tonumber(found[6] or '') and found[7] then
    redis.call('ZREM', P .. 'delayed', id)
    to_ready(id, queue, found[6], found[7])
  end
  redis.call('HSET', job, 'cancel', 1)
  redis.call('PUBLISH', P .. 'cancel', id)
  return state
end
if not rests then return state or 'none' end
redis.call('HSET', job, 'state', 'cancelled')
redis.call('ZREM', P .. 'delayed', id)
if state == 'ready' and queue then
  leave_ready(id, queue, found[7] or '')
  take_bell(queue, id)
  -- It may have been the one that stood for its groups.
  for _, group in ipairs(limited_groups(queue, found[9], found[7], found[10])) do wake_group(group) end
elseif state == 'parked' and queue and found[8] then
  leave_parked(id, found[8], queue)
end
tell(id, {status = 'cancelled', stage = found[4] or '', progress = tonumber(found[3] or '') or 0, worker_id = '',
  timestamp = ARGV[2], active = {}, message = ''}, true)
let_expire(id)
return state
