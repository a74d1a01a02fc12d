-- Random requests of a file of targets, and their figures as one line of JSON.
--
-- wrk ... -s wrk.lua http://host:port -- TARGETS SEED TAIL
--     TARGETS  file of targets, one per line: /recommend/123
--     SEED     random seed
--     TAIL     rest of the request after the target, with all headers

local requests, n_requests = {}, 0
local random = math.random

function init(arguments)
   local tail = arguments[3]
   math.randomseed(tonumber(arguments[2]))
   for target in io.lines(arguments[1]) do
      n_requests = n_requests + 1
      requests[n_requests] = "GET " .. target .. tail
   end
end

function request()
   return requests[random(n_requests)]
end

function done(summary, latency)
   local errors = summary.errors
   print(string.format(
      '{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "bytes": %d, ' ..
      '"connect": %d, "read": %d, "write": %d, "timeout": %d, "status": %d}',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      summary.bytes, errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
