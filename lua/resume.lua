-- A queue is no longer paused: one bell is enough, since every claim rings again while jobs are left.
-- INCLUDE: common
-- KEYS: prefix
-- ARGV: queue
-- RETURNS: how many jobs stand ready

redis.call('HDEL', P .. 'paused', ARGV[1])
local first, count = redis.call('ZRANGE', ready_key(ARGV[1]), 0, 0), redis.call('ZCARD', ready_key(ARGV[1]))
if redis.call('LLEN', list_key(ARGV[1])) < count then redis.call('RPUSH', list_key(ARGV[1]), first[1]) end
return count
