-- Renew the leases of every job this worker runs whose token still matches, the fleet-wide slots its jobs hold, and the
-- worker's own record. A slot's entry that was lost (Redis was flushed) comes back.
-- INCLUDE: common
-- KEYS: prefix
-- ARGV: worker, lease_ms, record_ttl_seconds, record, jobs, holds
-- RETURNS: one word per job, in the order of `jobs` (JSON [[id, token], ...]): ok, cancel, lost

local deadline = text(now_ms() + tonumber(ARGV[2]))
local answers = {}
for position, pair in ipairs(cjson.decode(ARGV[5])) do
  local id, token = pair[1], pair[2]
  local found = redis.call('HMGET', job_key(id), 'token', 'state', 'cancel')
  if found[1] == token and found[2] == 'running' then
    redis.call('ZADD', P .. 'leases', deadline, id)
    answers[position] = found[3] and 'cancel' or 'ok'
  else
    answers[position] = 'lost'
  end
end
for _, pair in ipairs(cjson.decode(ARGV[6])) do -- JSON [[resource, holder], ...]
  redis.call('ZADD', P .. 'sem:' .. pair[1], deadline, pair[2])
end
redis.call('ZADD', P .. 'workers', deadline, ARGV[1])
redis.call('HSET', P .. 'worker:' .. ARGV[1], 'record', ARGV[4])
redis.call('EXPIRE', P .. 'worker:' .. ARGV[1], ARGV[3])
return answers
