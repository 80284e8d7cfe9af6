from django.db import migrations

import events.fields


class Migration(migrations.Migration):
    dependencies = [
        ("events", "0004_no_index_on_time"),
    ]

    operations = [
        migrations.AddField(
            model_name="outbox",
            name="context",
            field=events.fields.PayloadField(null=True),
        ),
        migrations.AddField(
            model_name="outbox",
            name="emitted_at",
            field=events.fields.InstantField(null=True),
        ),
    ]
