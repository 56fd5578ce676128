/*
 * All tricks in one program, for the image of the test guests: as programs of their own they take 200 MB.
 * The environment variable MOAT_TRICK says which one this is ("exec/hard-link-after"); it is inherited by whatever
 * copy of itself a trick executes, under whatever name.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct trick {
	const char *source;
	int (*run)(int count, char **arguments);
};

/* The linker's bounds of the section that trick.h puts every trick into. */
extern const struct trick __start_tricks[], __stop_tricks[];

int main(int count, char **arguments)
{
	const char *name = getenv("MOAT_TRICK");

	for (const struct trick *trick = __start_tricks; name && trick < __stop_tricks; trick++) {
		size_t length = strlen(trick->source) - strlen(".c"), wanted = strlen(name);

		/* The compiler was given some path that ends with CLASS/NAME.c. */
		if (length >= wanted && !strncmp(trick->source + length - wanted, name, wanted) &&
		    (length == wanted || trick->source[length - wanted - 1] == '/'))
			return trick->run(count, arguments);
	}
	fprintf(stderr, "no trick of the name in MOAT_TRICK: %s\n", name ? name : "(unset)");
	return 2;
}
