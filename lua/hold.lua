-- Take one of the fleet-wide slots of a resource, or keep the one this holder has. It runs out unless a beat renews it.
-- INCLUDE: common
-- KEYS: prefix
-- ARGV: resource, holder, slots, lease_ms
-- RETURNS: 1, or 0 when all are taken

local key = P .. 'sem:' .. ARGV[1]
redis.call('ZREMRANGEBYSCORE', key, '-inf', text(now_ms()))
if not redis.call('ZSCORE', key, ARGV[2]) and redis.call('ZCARD', key) >= tonumber(ARGV[3]) then return 0 end
redis.call('ZADD', key, text(now_ms() + tonumber(ARGV[4])), ARGV[2])
return 1
