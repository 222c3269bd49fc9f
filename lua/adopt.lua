-- Put a job back as running for the worker that still owns it in SQL: Redis lost it, or holds it under an older token.
-- `held`: a token that the caller itself was granted and gives up for the owner's sake ('0': none).
-- INCLUDE: common, standing, groups, running
-- KEYS: prefix
-- ARGV: worker, label, slot, id, token, queue, pipeline, tenant, groups, lease_ms, progress, stage, score, held
-- RETURNS: 1, or 0 when a newer token holds it, or the job was settled under this one

local id = ARGV[4]
local found = redis.call('HMGET', job_key(id), 'token', 'queue', 'tenant', 'slot', 'parked', 'state', 'expired')
local token = tonumber(found[1] or '') or 0
if token > tonumber(ARGV[5]) and found[1] ~= ARGV[14] then return 0 end
-- The same token and neither running nor swept: its own finish or requeue was here first.
if found[1] == ARGV[5] and found[6] ~= 'running' and found[7] ~= ARGV[5] then return 0 end
put_back(id, {queue = found[2], tenant = found[3], slot = found[4], parked = found[5]}, {label = ARGV[2],
  held = ARGV[1] .. '#' .. ARGV[3], token = ARGV[5], floor = ARGV[5], queue = ARGV[6], pipeline = ARGV[7],
  tenant = ARGV[8], groups = ARGV[9], lease_ms = tonumber(ARGV[10]), progress = ARGV[11], stage = ARGV[12],
  score = ARGV[13]})
return 1
