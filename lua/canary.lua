-- Was Redis rewound? It holds a number that is never below the one in SQL, unless it has forgotten something.
-- `healer`: the reconciler that has put everything back, so that the number may rise again; '' just looks.
-- INCLUDE: common
-- KEYS: prefix
-- ARGV: number, healer
-- RETURNS: {ok or rewound, who healed it last}

local own, number = tonumber(redis.call('GET', P .. 'canary') or ''), tonumber(ARGV[1])
local healed = redis.call('HGET', P .. 'swept', 'healed') or ''
if ARGV[2] ~= '' then
  -- Flushed meanwhile: what it put back is gone, and its mark too. Or somebody else has begun after it.
  if redis.call('HGET', P .. 'swept', 'healing') ~= ARGV[2] then return {'rewound', healed} end
  healed = ARGV[2]
  redis.call('HSET', P .. 'swept', 'healed', healed)
elseif not own or own < number then
  return {'rewound', healed}
end
redis.call('SET', P .. 'canary', text(math.max(own or 0, number + 1)))
return {'ok', healed}
