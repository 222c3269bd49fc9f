-- Give a fleet-wide slot of a resource back.
-- INCLUDE: common
-- KEYS: prefix
-- ARGV: resource, holder
-- RETURNS: 1, or 0 when it was not held

return redis.call('ZREM', P .. 'sem:' .. ARGV[1], ARGV[2])
