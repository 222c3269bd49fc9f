-- Note and publish progress of a running job. A stale token is refused; the value never falls.
-- INCLUDE: common
-- KEYS: prefix
-- ARGV: id, token, number, progress, stage, active, label, message, stamp
-- RETURNS: 1, or 0 when stale or a repeat

local id, job = ARGV[1], job_key(ARGV[1])
local found = redis.call('HMGET', job, 'token', 'state', 'progress', 'heard')
if found[1] ~= ARGV[2] or found[2] ~= 'running' then return 0 end
local heard = ARGV[2] .. ':' .. ARGV[3]
if found[4] == heard then return 0 end
local progress = math.min(100, math.max(tonumber(found[3] or '') or 0, tonumber(ARGV[4]) or 0))
redis.call('HSET', job, 'progress', tostring(progress), 'stage', ARGV[5], 'heard', heard)
tell(id, {status = 'processing', stage = ARGV[5], progress = progress, worker_id = ARGV[7], timestamp = ARGV[9],
  active = cjson.decode(ARGV[6]), message = ARGV[8]}, true)
return 1
