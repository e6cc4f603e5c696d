/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sounds whose length their bytes bound, and what a hard budget does with the
 * others: refused, or reserved for at the model's declared cap.
 */
#include "agent/dialect/sound.h"
#include "tests/unit/agent/scene.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

/* channels 1, then rate, bytes a second, frame, bits */
#define WAVE(format, rate, frame)                                   \
	"RIFF\x24\x10\0\0WAVEfmt \x10\0\0\0" format "\0\x01\0" rate \
	"\0\0\0\0" frame "\0\x10\0data\0\x10\0\0"
#define ID3(flags, size) "ID3\4\0" flags "\0\0\0" size
#define MP3		 "\xff\xfb\x90\x64"

static const struct {
	const char *bytes;
	size_t len;
	bool bounded;
} files[] = {
#define FILE_OF(z, bounded)               \
	{                                 \
		z, sizeof(z) - 1, bounded \
	}
    FILE_OF(MP3 "xxxx", true),
    FILE_OF(MP3, true),
    FILE_OF("\xff\xf3\x18\xc4", true),	/* 8 kbit/s */
    FILE_OF("\xff\xfb\x00\x64", false), /* any rate */
    FILE_OF("\xff\xfb\xf0\x64", false), /* none */
    FILE_OF("\xff\xf1\x50\x80", false), /* AAC */
    FILE_OF(ID3("\0", "\x05") "12345" MP3, true),
    FILE_OF(ID3("\x10", "\x05") "12345"
				"3DI4567890" MP3,
	true),
    FILE_OF(ID3("\0", "\x05") "12345"
			      "fLaC",
	false),
    FILE_OF(ID3("\0", "\x05") "1234" MP3, false), /* one byte short */
    FILE_OF(ID3("\0", "\x00") ID3("\0", "\x00") MP3, true),
    FILE_OF(WAVE("\1", "\x80\x3e\0\0", "\2"), true), /* 16 kHz */
    FILE_OF(WAVE("\3", "\xf4\x01\0\0", "\1"), true), /* 500 a second */
    FILE_OF(WAVE("\1", "\xf3\x01\0\0", "\1"), false),
    FILE_OF(WAVE("\1", "\x80\x3e\0\0", "\0"), false),
    FILE_OF(WAVE("\x55", "\x80\x3e\0\0", "\2"), false), /* compressed */
    FILE_OF("RIFF\x24\x10\0\0WAVEfmt ", false),
    FILE_OF("fLaC\0\0\0\x22", false),
    FILE_OF("OggS\0\2", false),
    FILE_OF("\x1a\x45\xdf\xa3", false),
    FILE_OF("\0\0\0\x20"
	    "ftypM4A ",
	false),
    FILE_OF("", false),
};

START_TEST(test_formats)
{
	for (size_t i = 0; i < N(files); i++) {
		for (size_t cut = 0; cut <= files[i].len; cut++) {
			struct sound s = {.len = 0};

			sound_add(&s, files[i].bytes, cut);
			sound_add(&s, files[i].bytes + cut, files[i].len - cut);
			ck_assert_msg(sound_is_bounded(&s) == files[i].bounded,
			    "file %zu cut at %zu", i, cut);
		}
	}
}
END_TEST

static int
transcribe(const char *bytes, size_t len)
{
	static const char head[] =
	    "--xYz\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n"
	    "chat\r\n--xYz\r\nContent-Disposition: form-data; name=\"file\"; "
	    "filename=\"a\"\r\n\r\n";
	static const char tail[] = "\r\n--xYz--\r\n";
	char text[512];
	int fd = http_connect(rig.port);

	(void)snprintf(text, sizeof(text),
	    "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: a\r\n"
	    "Authorization: Bearer " RIG_KEY "\r\n"
	    "Content-Type: multipart/form-data; boundary=xYz\r\n"
	    "Content-Length: %zu\r\n\r\n",
	    sizeof(head) - 1 + len + sizeof(tail) - 1);
	http_send(fd, text);
	http_send(fd, head);
	ck_assert_int_eq(send(fd, bytes, len, 0), (ssize_t)len);
	http_send(fd, tail);
	ck_assert_int_gt(http_recv(fd, answer, sizeof(answer), &clean), 0);
	close(fd);
	return http_status(answer);
}

static bool
serve_text(struct fake *f, int fd, const char *request, int n)
{
	(void)f;
	(void)request;
	(void)n;
	send_answer(fd, "200 OK", "",
	    "{\"text\":\"hm\",\"usage\":{\"type\":\"tokens\","
	    "\"input_tokens\":10,\"output_tokens\":5,\"total_tokens\":15}}");
	return true;
}

START_TEST(test_budget)
{
	static const char flac[] = "fLaC\0\0\0\x22 an hour of silence";
	static const char mp3[] = MP3 " a moment of noise";
	struct rig_config c = {.budget = 1000000000};

	begin(serve_text, &c);
	ck_assert_int_eq(transcribe(flac, sizeof(flac)), 400);
	ck_assert_ptr_nonnull(strstr(answer, "\"file\""));
	ck_assert_ptr_nonnull(strstr(answer, "max_request_usd"));
	ck_assert_int_eq(transcribe(mp3, sizeof(mp3)), 200);
	ck_assert_int_lt(usage(1)->head.reserved, 5000000);
	end();
	c.max_request = 5000000;
	begin(serve_text, &c);
	ck_assert_int_eq(transcribe(flac, sizeof(flac)), 200);
	ck_assert_int_eq(usage(1)->head.reserved, 5000000);
	end();
	c.max_request = 0;
	c.soft = true;
	begin(serve_text, &c);
	ck_assert_int_eq(transcribe(flac, sizeof(flac)), 200);
	end();
	c.budget = 0;
	begin(serve_text, &c);
	ck_assert_int_eq(transcribe(flac, sizeof(flac)), 200);
	end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/sound");

	UNIT_ADD(s, test_formats);
	ADD(s, test_budget);
	return unit_run(s);
}
