/* sanitize: what the sanitizers of a build with SANITIZE=ON are told about libraries. */
const char *__lsan_default_suppressions(void);

/* Criterion 2.4 keeps 48 bytes that it allocated. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libcriterion";
}
