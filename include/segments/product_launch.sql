-- MMS reach phones in the United States and Canada only.
select customer_id, phone, first_name, city, language
from demo.customers
where marketing_opt_in and country in ('US', 'CA')
