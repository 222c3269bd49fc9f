"""Mistakes that somebody could make in the Lua files, each of which the tests must see (test_mutants.py).

`old` stands exactly once in its file. A mistake is found by random walks, or by the question of its own name in
test_mutants.py where walks seldom come by.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.edits import Edit


@dataclass(frozen=True)
class Mutant:
    """One mistake: where, what is written instead, and what it breaks."""

    file: str
    old: str
    new: str
    breaks: str
    question: str = ""  # which of test_mutants.py finds it; "": the walks do

    @property
    def edit(self) -> Edit:
        return Edit(self.file, self.old, self.new)

    @property
    def name(self) -> str:
        return f"{self.file.removesuffix('.lua')}: {self.breaks}"


MUTANTS = (
    # --- the two that a first simulation found
    Mutant(
        "cancel.lua",
        "  for _, group in ipairs(limited_groups(queue, found[9], found[7], found[10])) do wake_group(group) end\n",
        "",
        "cancelling a job just unparked leaves its group asleep for ever",
        question="the next stands up for one that was cancelled",
    ),
    Mutant(
        "shared/grant.lua",
        "  drop_bell(head.queue)\n  park(head.id, full, head.queue, head.score)\n",
        "  park(head.id, full, head.queue, head.score)\n",
        "parking leaks a bell",
    ),
    Mutant("cancel.lua", "  take_bell(queue, id)\n", "", "cancel leaks a bell"),
    # --- Lua is not rolled back
    Mutant(
        "sweep.lua",
        "if found[1] == 'running' and found[2] and tonumber(found[3] or '') and tonumber(found[4] or '') and found[9] then",
        "if found[1] == 'running' and found[2] and tonumber(found[4] or '') and found[9] then",
        "it frees a job before it looks at its score, and stops in the middle",
        question="a bad score stops no sweep",
    ),
    Mutant(
        "requeue.lua",
        "if found[1] == ARGV[9] and found[2] == 'running' and found[12] then",
        "if found[1] == ARGV[9] and found[2] == 'running' then",
        "it takes a job out of its lease before it looks at its tenant, and stops in the middle",
        question="a job without a tenant is not torn in two",
    ),
    Mutant(
        "shared/standing.lua",
        "    if found[1] and tonumber(found[2] or '') and found[3] == 'delayed' and found[4] then",
        "    if found[1] and found[3] == 'delayed' and found[4] then",
        "it promotes a job before it looks at its score, and stops in the middle",
        question="a bad score stops no promotion",
    ),
    # --- tokens
    Mutant(
        "shared/grant.lua",
        "  local known = math.max(tonumber(found.token or '') or 0, tonumber(found.floor or '') or 0)\n",
        "  local known = tonumber(found.token or '') or 0\n",
        "a token is not above the floor",
    ),
    Mutant(
        "shared/grant.lua",
        "  local token = text(math.max(known + 1, now_us()))\n",
        "  local token = text(now_us())\n",
        "a token does not rise when the clock goes back",
    ),
    Mutant(
        "finish.lua",
        "if found[1] == ARGV[9] and found[2] == 'running' then",
        "if found[2] == 'running' then",
        "a stale token ends a job",
    ),
    Mutant(
        "requeue.lua",
        "if found[1] == ARGV[9] and found[2] == 'running' and found[12] then",
        "if found[2] == 'running' and found[12] then",
        "a stale token gives a job back",
    ),
    Mutant(
        "beat.lua",
        "  if found[1] == token and found[2] == 'running' then",
        "  if found[2] == 'running' then",
        "a stale token keeps another's lease",
    ),
    Mutant(
        "progress.lua",
        "if found[1] ~= ARGV[2] or found[2] ~= 'running' then return 0 end\n",
        "",
        "a stale token tells progress",
    ),
    Mutant(
        "requeue.lua",
        "'floor', text(math.max(tonumber(ARGV[12]), tonumber(ARGV[9]))))",
        "'floor', ARGV[12])",
        "a floor falls",
    ),
    # --- sent twice
    Mutant(
        "shared/grant.lua",
        "  if found[1] == a.nonce and found[2] == 'running' then",
        "  if false then",
        "a claim whose reply was lost does not find its grant",
    ),
    Mutant(
        "requeue.lua",
        "elseif found[1] == ARGV[9] or found[9] == ARGV[9] then\n  answer = 1",
        "elseif found[1] == ARGV[9] then\n  answer = 0",
        "sent twice it says that it was not made",
        question="requeue sent twice answers one",
    ),
    Mutant("progress.lua", "if found[4] == heard then return 0 end\n", "", "a repeat is told again"),
    # --- leases
    Mutant("sweep.lua", "if now_ms() >= grace then", "if true then", "nobody is spared after a silence"),
    Mutant(
        "sweep.lua",
        "      redis.call('HSET', job_key(id), 'expired', found[4])\n",
        "",
        "a crash is not noted",
    ),
    Mutant(
        "adopt.lua",
        "if found[1] == ARGV[5] and found[6] ~= 'running' and found[7] ~= ARGV[5] then return 0 end\n",
        "",
        "a job that was settled is revived",
        question="what was settled is not adopted",
    ),
    Mutant(
        "reconcile.lua",
        "if found.token > tonumber(fence) then",
        "if false then",
        "a token that SQL has not heard of is ignored: a job that runs is given away",
        question="a claim that sql has not heard of keeps its job",
    ),
    Mutant(
        "reconcile.lua",
        "    if ARGV[14] ~= '1' then return 'unsure' end\n",
        "    return 'fine'\n",
        "a job that was claimed while it waited, and whose waking Redis lost, waits for ever",
        question="a job that lost its waking is woken",
    ),
    Mutant(
        "compared.lua",
        "if redis.call('HGET', P .. 'swept', 'healing') ~= ARGV[1] then return 'gone' end\n",
        "",
        "a reconciler that was overtaken says where the next one may begin",
        question="who was overtaken notes nothing",
    ),
    Mutant(
        "reconcile.lua",
        "if stands() then return 'fine' end\n-- It waits",
        "if found.state then return 'fine' end\n-- It waits",
        "a hole in an index is not mended",
    ),
    Mutant(
        "shared/running.lua",
        "    if found.parked then leave_parked(id, found.parked, found.queue) end\n",
        "",
        "a job that is put back stays parked too",
        question="a parked job that sql has in flight is parked no more",
    ),
    # --- groups
    Mutant(
        "requeue.lua",
        "limited_groups(found[10] or '', found[11], found[12], found[13]))",
        "{})",
        "what is given back still counts in its groups",
    ),
    Mutant(
        "shared/groups.lua",
        "redis.call('ZCARD', P .. 'group:' .. group.name) < group.limit",
        "redis.call('ZCARD', P .. 'group:' .. group.name) <= group.limit",
        "one more than the limit runs",
    ),
    Mutant(
        "shared/grant.lua",
        "  for _, group in ipairs(groups) do wake_group(group) end\n",
        "",
        "who is parked for one group lets his other groups sleep",
        question="who parks for one group wakes the others",
    ),
    Mutant(
        "shared/groups.lua",
        "  for _, group in ipairs(groups) do redis.call('ZREM', P .. 'group:' .. group.name, id) end\n"
        "  for _, group in ipairs(groups) do wake_group(group) end\n",
        "  for _, group in ipairs(groups) do redis.call('ZREM', P .. 'group:' .. group.name, id) end\n",
        "who leaves wakes nobody",
    ),
    Mutant("limit.lua", "return wake_page(name, 256)", "return 0", "a raised limit wakes nobody"),
    Mutant(
        "shared/groups.lua",
        "  if redis.call('EXISTS', P .. 'parking:' .. group) == 0 then redis.call('SREM', P .. 'parking', group) end\n",
        "",
        "a group that holds nobody back is swept for ever",
    ),
    # --- the line
    Mutant(
        "shared/standing.lua",
        "  redis.call('ZREM', lane_key(queue, tenant), id)\n",
        "",
        "a job stays in its tenant's lane",
    ),
    Mutant(
        "shared/standing.lua",
        "'tenant:' .. tenant, tag + 1 / weight)\n  redis.call('ZADD', lanes_key(queue), 'XX', tag + 1 / weight, tenant)",
        "'tenant:' .. tenant, tag + 1)\n  redis.call('ZADD', lanes_key(queue), 'XX', tag + 1, tenant)",
        "weights do not count",
    ),
    Mutant(
        "shared/standing.lua",
        "  local tag = math.max(tonumber(known[1] or '') or 0, tonumber(known[2] or '') or 0)\n",
        "  local tag = tonumber(known[2] or '') or 0\n",
        "a tenant that was away has saved up turns",
    ),
    # --- waking, cancelling, progress
    Mutant(
        "enqueue.lua",
        "  if state == 'running' then redis.call('HSET', job, 'again', 1) end\n",
        "",
        "who is woken while he runs sleeps afterwards",
    ),
    Mutant(
        "requeue.lua",
        "if delay_ms == 0 or found[7] or found[8] then",
        "if delay_ms == 0 or found[8] then",
        "a job that somebody wants cancelled sleeps first",
        question="a job that somebody wants cancelled does not sleep",
    ),
    Mutant(
        "progress.lua",
        "math.min(100, math.max(tonumber(found[3] or '') or 0, tonumber(ARGV[4]) or 0))",
        "math.min(100, tonumber(ARGV[4]) or 0)",
        "progress falls",
    ),
    Mutant(
        "shared/standing.lua",
        "math.max(tonumber(known[2] or '') or 0, tonumber(a.progress) or 0)",
        "tonumber(a.progress) or 0",
        "the progress that people have seen falls when a job comes back",
    ),
    # --- what others push, and a Redis that was emptied
    Mutant(
        "shared/common.lua",
        "  redis.call('RPUSH', P .. 'inbox', value)\n",
        "",
        "what another program pushed is lost",
    ),
    Mutant(
        "shared/grant.lua",
        "  if redis.call('EXISTS', P .. 'canary') == 0 then return {'rewound'} end\n",
        "",
        "an empty Redis says that there is nothing to do",
    ),
    Mutant(
        "shared/grant.lua",
        "  ring_again({queue})\n",
        "",
        "a lost pop lets a job lie",
        question="who takes a job rings for the next",
    ),
)
