-- Claim the best ready job of the wanted queues for one free slot. Sent twice with one nonce, it grants once.
-- INCLUDE: common, grant
-- KEYS: prefix
-- ARGV: worker, label, slot, nonce, lease_ms, queues, popped_queue, popped_value, stamp
-- RETURNS: a grant (see grant.lua)

keep_foreign(ARGV[8])
return grant({worker = ARGV[1], label = ARGV[2], slot = ARGV[3], nonce = ARGV[4], lease_ms = tonumber(ARGV[5]),
  queues = ARGV[6], popped_queue = ARGV[7], stamp = ARGV[9]})
