-- Ask a rate limit for `cost` calls now (generic cell rate algorithm: one number, no window to keep).
-- In any window no more than burst + window / interval are granted. Sent twice it takes twice, which errs to the safe
-- side only.
-- INCLUDE: common
-- KEYS: prefix
-- ARGV: bucket, interval_us, burst, cost
-- RETURNS: 0 when granted, else the microseconds to wait before asking again

local key, interval = P .. 'rate:' .. ARGV[1], tonumber(ARGV[2])
local free_at = math.max(now_us(), tonumber(redis.call('GET', key) or '') or 0) + interval * tonumber(ARGV[4])
local early = free_at - interval * tonumber(ARGV[3]) - now_us()
if early > 0 then return math.ceil(early) end
redis.call('SET', key, text(free_at), 'PX', text(math.ceil((free_at - now_us()) / 1000) + 1))
return 0
