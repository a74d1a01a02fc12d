"""Whether the statistics of experiments keep their promises, on simulated users.

ab            experiments of a simulated service, looked at every day by four rules
service       its users: rates and activity of their own, who come again
interleaving  users needed to find a better list, by interleaving and by an A/B test
from_logs     estimates of a new generation from the logs of an old one, against the truth
"""
