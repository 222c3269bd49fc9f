-- A job begins and ceases to run. Needs common, standing and groups.

-- The job leaves its lease, its slot and its groups.
local function leave_running(id, slot, groups)
  redis.call('ZREM', P .. 'leases', id)
  if slot and redis.call('HGET', P .. 'slots', slot) == id then redis.call('HDEL', P .. 'slots', slot) end
  leave_groups(id, groups)
end

-- Out of every index that a job of this record can stand in, also where its state says otherwise.
local function leave_every_index(id, found)
  if found.queue then
    if redis.call('ZSCORE', ready_key(found.queue), id) then
      leave_ready(id, found.queue, found.tenant or '')
      take_bell(found.queue, id)
    end
    if found.parked then leave_parked(id, found.parked, found.queue) end
  end
  redis.call('ZREM', P .. 'delayed', id)
  redis.call('SREM', P .. 'bad', id)
  if found.slot and redis.call('HGET', P .. 'slots', found.slot) == id then
    redis.call('HDEL', P .. 'slots', found.slot)
  end
end

-- Running again under the fence that SQL holds, for one whole lease: its living owner's next beat matches, a dead one's
-- lease runs out. `a.held` is its slot, '#' when nobody's is known: the lease alone decides then.
local function put_back(id, found, a)
  leave_every_index(id, found)
  a.keeps_place = true
  write_record(id, a)
  redis.call('HSET', job_key(id), 'state', 'running', 'token', a.token, 'worker', a.label, 'slot', a.held)
  redis.call('ZADD', P .. 'leases', text(now_ms() + a.lease_ms), id)
  if a.held ~= '#' then
    -- What a rewound Redis still has in that slot does not run there: its worker runs this one.
    local other = redis.call('HGET', P .. 'slots', a.held)
    if other and other ~= id and redis.call('HEXISTS', job_key(other), 'state') == 1 then
      redis.call('HSET', job_key(other), 'slot', '#')
    end
    redis.call('HSET', P .. 'slots', a.held, id)
  end
  join_groups(id, limited_groups(a.queue, a.pipeline, a.tenant, a.groups), a.token)
end
