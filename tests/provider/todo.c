/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/provider/auth.h"
#include "tests/provider/route.h"
#define T(f)                                                        \
	void f(struct call *q)                                      \
	{                                                           \
		problem_reply(q->c, PROBLEM_NOT_FOUND, NULL, NULL); \
	}
T(call_cohere_chat)
T(call_cohere_embed) T(call_rerank) T(call_ollama) T(call_completions)
    T(call_moderations) T(call_images) T(call_form) T(call_speech) const
    struct dialect cohere_chat_dialect,
    cohere_embed_dialect, rerank_dialect, ollama_dialect, completions_dialect,
    moderations_dialect, images_dialect, edits_dialect, transcriptions_dialect,
    translations_dialect, speech_dialect;
