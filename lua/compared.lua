-- Note how far a reconciler has come, so that the next one goes on from there when it dies on its way.
-- INCLUDE: common
-- KEYS: prefix
-- ARGV: healer, mark, after
-- RETURNS: noted, or gone (flushed meanwhile, or somebody else has begun after it)

if redis.call('HGET', P .. 'swept', 'healing') ~= ARGV[1] then return 'gone' end
redis.call('HSET', P .. 'swept', 'compared', ARGV[2] .. ' ' .. ARGV[3])
return 'noted'
