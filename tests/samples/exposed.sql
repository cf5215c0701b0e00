/*
 * Tables of a DBA's own, exposed: keys of all kinds, references, a type of every kind
 * that the service knows, reference data, and a view.
 */
create table public.students (
    id uuid primary key default tenancy.uuid_v7(),
    name varchar(100) not null,
    born_on date,
    created_at timestamptz not null default now()
);
comment on table public.students is 'Who is taught.';
comment on column public.students.name is 'As on the certificate.';
create index students_name on public.students (name);
create index students_born_on on public.students (born_on);

create table public.courses (
    code varchar(20) primary key,
    title text not null
);

create table public.enrolments (
    student_id uuid not null references public.students (id),
    course varchar(20) not null references public.courses (code),
    grade smallint,
    remark text,
    primary key (student_id, course)
);
create index enrolments_course on public.enrolments (course);

create type public.mood as enum ('calm', 'loud');
create table public.samples (
    id bigint generated always as identity primary key,
    label text not null,
    amount numeric not null,
    ratio double precision,
    small smallint not null default 1,
    is_open boolean not null default true,
    due_on date,
    at timestamp,
    seen_at timestamptz,
    tags text[] not null default '{}',
    extra jsonb,
    address inet,
    mood public.mood not null default 'calm'
);
create index samples_label on public.samples (label);
create index samples_amount on public.samples (amount);
create index samples_ratio on public.samples (ratio);
create index samples_is_open on public.samples (is_open);
create index samples_due_on on public.samples (due_on);
create index samples_at on public.samples (at);
create index samples_seen_at on public.samples (seen_at);
create index samples_mood on public.samples (mood);

create table public.countries (
    code char(2) primary key,
    name text not null
);
insert into public.countries values ('AT', 'Austria'), ('IS', 'Iceland');

select tenancy.isolate_table('public.students');
select tenancy.isolate_table('public.courses');
select tenancy.isolate_table('public.enrolments');
select tenancy.isolate_table('public.samples');
select tenancy.share_table('public.countries');

create view public.graduates with (security_invoker) as
    select s.tenant_id, s.id, s.name, e.course, e.grade
    from public.students as s
    join public.enrolments as e on e.tenant_id = s.tenant_id and e.student_id = s.id
    where e.grade is not null;
grant select on public.graduates to tenancy_app;

select tenancy.expose_table(t.name::regclass)
from unnest(array['public.students', 'public.courses', 'public.enrolments', 'public.samples', 'public.countries']) as t (name);
select tenancy.expose_table('public.graduates', key => '{id,course}', filterable => '{name}', sortable => '{}');

select tenancy.enable_soft_delete('public.students');
select tenancy.enable_soft_delete('public.samples');

create function public.enrol(student_id uuid, course text, remark text default null)
    returns public.enrolments
    language sql volatile
begin atomic
    insert into public.enrolments (student_id, course, remark)
    values (enrol.student_id, enrol.course, enrol.remark)
    returning *;
end;
comment on function public.enrol(uuid, text, text) is 'Puts a student into a course.';

create function public.grades(at_least smallint)
    returns table (course text, student uuid, grade smallint)
    language sql stable
begin atomic
    select e.course, e.student_id, e.grade from public.enrolments as e where e.grade >= at_least;
end;

create function public.add_up(numbers integer[], scale numeric default 1)
    returns numeric
    language sql immutable
begin atomic
    select scale * sum(n.number) from unnest(numbers) as n (number);
end;

select tenancy.expose_function(f.name::regprocedure)
from unnest(array['public.enrol(uuid,text,text)', 'public.grades(smallint)', 'public.add_up(integer[],numeric)']) as f (name);
