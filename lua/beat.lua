-- Renew the leases of every job this worker runs whose token still matches, and the worker's own record.
-- INCLUDE: common
-- KEYS: prefix
-- ARGV: worker, lease_ms, record_ttl_seconds, record, jobs
-- RETURNS: one word per job, in the order of `jobs` (JSON [[id, token], ...]): ok, cancel, lost

local deadline = text(math.floor(now_us() / 1000) + tonumber(ARGV[2]))
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
redis.call('ZADD', P .. 'workers', deadline, ARGV[1])
redis.call('HSET', P .. 'worker:' .. ARGV[1], 'record', ARGV[4])
redis.call('EXPIRE', P .. 'worker:' .. ARGV[1], ARGV[3])
return answers
