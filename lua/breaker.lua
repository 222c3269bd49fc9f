-- A circuit breaker that the whole fleet shares: after `threshold` failures in a row it is open for `open_ms`, twice as
-- long after each failed probe (`longest_ms` at most). Then one caller may try; its answer decides.
-- Moves: look (asks, takes nothing), ask (takes the probe where one is due), ok, fail, cool (stay away for `open_ms`).
-- INCLUDE: common
-- KEYS: prefix
-- ARGV: breaker, holder, move, threshold, open_ms, longest_ms
-- RETURNS: 0 when calls may be made, else the milliseconds to wait before asking again

local key, holder, move = P .. 'breaker:' .. ARGV[1], ARGV[2], ARGV[3]
local open_ms, longest_ms = tonumber(ARGV[5]), tonumber(ARGV[6])
local found = redis.call('HMGET', key, 'failures', 'open_until', 'open_ms', 'probe', 'probe_until')
local failures, open_until = tonumber(found[1] or '') or 0, tonumber(found[2] or '') or 0
local probe_until = tonumber(found[5] or '') or 0

local function open_for(ms)
  redis.call('HSET', key, 'open_until', text(math.max(open_until, now_ms() + ms)), 'open_ms', text(ms))
  redis.call('HDEL', key, 'probe', 'probe_until')
  redis.call('PEXPIRE', key, text(2 * longest_ms + ms))
end

if move == 'ok' then
  -- An answer to a call that was sent before it opened proves nothing.
  if found[2] == false or found[4] == holder then redis.call('DEL', key) end
  return 0
end
if move == 'cool' then
  open_for(open_ms)
  return open_ms
end
if move == 'fail' then
  failures = redis.call('HINCRBY', key, 'failures', 1)
  redis.call('PEXPIRE', key, text(2 * longest_ms))
  if found[4] == holder then
    open_for(math.min(longest_ms, 2 * (tonumber(found[3] or '') or open_ms)))
  elseif failures >= tonumber(ARGV[4]) and open_until == 0 then
    open_for(open_ms)
  end
  return 0
end
if found[2] == false then return 0 end
if now_ms() < open_until then return open_until - now_ms() end
if found[4] == holder then return 0 end
if now_ms() < probe_until then return math.max(1, math.min(open_ms, probe_until - now_ms())) end
if move == 'ask' then
  -- Whoever probes and dies is forgotten after the longest time.
  redis.call('HSET', key, 'probe', holder, 'probe_until', text(now_ms() + longest_ms))
end
return 0
