"""A channel layer whose messages get lost, come twice, come late, come out of order, and lie."""

import os
import random

from channels_redis.pubsub import RedisPubSubChannelLayer


class UnreliableLayer(RedisPubSubChannelLayer):
    """What happens to a message is drawn from FAULTS_SEED."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.dice = random.Random(f"{os.environ.get('FAULTS_SEED')}-{os.getpid()}")
        self.late = []

    async def group_send(self, group, message):
        for one in self.fate(message):
            await super().group_send(group, one)

    def fate(self, message):
        """What is sent instead of a message."""
        dice = self.dice.random()
        if dice < 0.3:
            return []
        if dice < 0.5:
            return [message, message]
        if dice < 0.7:
            self.late.append(message)
            return []
        # What was held back comes behind what is newer; and a head that the log never had.
        late, self.late = self.late, []
        return [{**message, "head": message["head"] + self.dice.randrange(1000)}, *late]
