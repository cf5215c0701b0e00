/*
 * The schools are tenants of the same slug; now their tables are, too.
 */
grant usage on schema school to tenancy_app;
grant select on school.subjects, school.report_cards to tenancy_app;

select tenancy.isolate_table('school.' || t.name, mapping_column => 'school_id', unique_per_tenant => '{*}',
    mapping => 'select s.id, t.id from school.schools as s join tenancy.tenants as t on t.slug = s.code')
from (values (1, 'teachers'), (2, 'students'), (3, 'classes')) as t (place, name)
order by t.place;
select tenancy.isolate_table('school.enrolments', parent => 'enrolments_student_id_fkey');
select tenancy.isolate_table('school.grades', parent => 'grades_enrolment');
