"""The history: the past of a world as files, and how it compares with real files.

    views ─► spill ─┬─► lines ─► noise, noisy_file ─► logs      a log a day
                    └─► tables                                  Parquet by kind and day
    statistics ─► compare      a history beside real files

`answers` draws the recommendations before each view, `breakage` breaks single lines, `strict`
says which lines are still valid. Ways in: `write.write_history` and the verbs in `command` and
`compare`.
"""
