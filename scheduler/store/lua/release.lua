-- Gives the lease up, if it is still the caller's, so that another scheduler need not wait for it to expire.
--
-- KEYS: 1 lease, 2 fence. ARGV: 1 the token held. Returns 1 when it was released.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
