-- Where Redis thinks a job is.
-- INCLUDE: common
-- KEYS: prefix
-- ARGV: id
-- RETURNS: {state or "", token, queue, group it is parked for, worker, ms until its lease runs out or it is due, jobs
-- ahead of it in its queue}

local id = ARGV[1]
local found = redis.call('HMGET', job_key(id), 'state', 'token', 'queue', 'parked', 'worker')
local state, queue, left, ahead = found[1] or '', found[3] or '', 0, 0
if state == 'running' or state == 'delayed' then
  local index = P .. 'delayed'
  if state == 'running' then index = P .. 'leases' end
  left = (tonumber(redis.call('ZSCORE', index, id) or '') or now_ms()) - now_ms()
elseif state == 'ready' then
  ahead = redis.call('ZRANK', ready_key(queue), id) or 0
end
return {state, found[2] or '0', queue, found[4] or '', found[5] or '', text(left), ahead}
