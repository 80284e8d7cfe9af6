"""The mutants. Each is the design without one of its ideas; mind that some take two changes, where
a second line of defence would have caught the first."""

from . import acting, durable, following, redis, writing

MUTANTS = (
    *writing.MUTANTS,
    *following.MUTANTS,
    *acting.MUTANTS,
    *durable.MUTANTS,
    *redis.MUTANTS,
)
