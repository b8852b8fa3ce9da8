"""What is made of the metrics: their reference page and the dashboards of the chart."""
