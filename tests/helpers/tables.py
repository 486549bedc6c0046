"""Comparison of tables whose texts may have either of the two types that pandas has for texts."""

import pandas as pd


def assert_tables_equal(left, right, **options):
    """Check that two tables are equal. Texts that are objects equal the same texts that are pandas 3's str."""
    pd.testing.assert_frame_equal(_with_texts_as_objects(left), _with_texts_as_objects(right), **options)


def _with_texts_as_objects(table):
    columns = {}
    for name, column in table.items():
        if isinstance(column.dtype, pd.CategoricalDtype):
            columns[name] = column.cat.rename_categories(_objects(column.cat.categories))
        else:
            columns[name] = _objects(column)
    return pd.DataFrame(columns, index=_objects(table.index), columns=table.columns.astype(object))


def _objects(values):
    return values.astype(object) if pd.api.types.is_string_dtype(values) else values
