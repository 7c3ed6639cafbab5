-- What of `once` is not among `known` rows of the lake, as table `fresh`.
CREATE TEMP TABLE fresh AS
SELECT once.*
FROM once
ANTI JOIN known
  ON once.flow = known.flow
 AND once.run = known.run
 AND once.step = known.step
 AND once.task = known.task
 AND once.attempt = known.attempt
 AND once.project IS NOT DISTINCT FROM known.project
 AND once.branch IS NOT DISTINCT FROM known.branch
 AND once."user" IS NOT DISTINCT FROM known."user";
