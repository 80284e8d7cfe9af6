from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("events_handlers", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="shard",
            name="losses",
            field=models.PositiveIntegerField(db_default=0),
        ),
        migrations.AddField(
            model_name="shard",
            name="lost_at",
            field=models.BigIntegerField(db_default=0),
        ),
    ]
