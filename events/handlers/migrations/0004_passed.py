from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("events_handlers", "0003_samples"),
    ]

    operations = [
        migrations.AddField(
            model_name="subscription",
            name="passed",
            field=models.BigIntegerField(db_default=0),
        ),
    ]
