-- One row per recipient. Every column is a variable of the message.
select customer_id, phone, first_name, loyalty_points
from demo.customers
where marketing_opt_in
