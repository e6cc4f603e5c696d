/* SPDX-License-Identifier: Apache-2.0 */
/* TLS by OpenSSL; see tls.h. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/provider/tls.h"

struct tls_server {
	SSL_CTX *ctx;
	pthread_mutex_t lock;
	enum tls_fault fault;
	uint64_t times;
};

struct tls {
	SSL *ssl;
	int fd;
	enum tls_fault fault;
};

/* An encrypted record of nothing that was ever encrypted. */
static const unsigned char tls_garbage[37] = {0x17, 0x03, 0x03, 0x00, 0x20};

static const char tls_plain_answer[] =
    "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\n"
    "content-length: 49\r\nconnection: close\r\n\r\n"
    "The plain HTTP request was sent to an HTTPS port\n";

static int
tls_error(struct error *e, const char *what, const char *file)
{
	char why[256];

	ERR_error_string_n(ERR_get_error(), why, sizeof(why));
	return err_set(e, ERR_IO, "%s %s: %s", what, file, why);
}

/* The first bytes of a client are here: refuse them, if that was ordered. */
static int
tls_on_hello(SSL *ssl, int *alert, void *arg)
{
	const struct tls *t = SSL_get_app_data(ssl);

	(void)arg;
	*alert = SSL_AD_HANDSHAKE_FAILURE;
	return t->fault == TLS_FAULT_ALERT ? SSL_CLIENT_HELLO_ERROR
					   : SSL_CLIENT_HELLO_SUCCESS;
}

int
tls_server_new(const char *cert, const char *key, const char *client_ca,
    struct tls_server **ret, struct error *e)
{
	struct tls_server *s = calloc(1, sizeof(*s));
	int rc = 0;

	if (s == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	pthread_mutex_init(&s->lock, NULL);
	s->ctx = SSL_CTX_new(TLS_server_method());
	if (s->ctx == NULL) {
		rc = err_set(e, ERR_NOMEM, "no memory");
		goto out;
	}
	(void)SSL_CTX_set_mode(s->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
					   SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_client_hello_cb(s->ctx, tls_on_hello, NULL);
	if (SSL_CTX_use_certificate_chain_file(s->ctx, cert) != 1)
		rc = tls_error(e, "certificate", cert);
	else if (SSL_CTX_use_PrivateKey_file(s->ctx, key, SSL_FILETYPE_PEM) !=
		 1)
		rc = tls_error(e, "key", key);
	else if (client_ca != NULL &&
		 SSL_CTX_load_verify_locations(s->ctx, client_ca, NULL) != 1)
		rc = tls_error(e, "authority", client_ca);
	if (client_ca != NULL)
		SSL_CTX_set_verify(s->ctx,
		    SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	(void)SSL_CTX_set_session_id_context(
	    s->ctx, (const unsigned char *)"sim", 3);
out:
	if (rc != 0) {
		tls_server_free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

void
tls_server_free(struct tls_server *s)
{
	if (s == NULL)
		return;
	SSL_CTX_free(s->ctx);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

int
tls_server_order(struct tls_server *s, struct str fault, uint64_t times)
{
	static const char *const names[] = {
#define X(e, name) name,
	    TLS_FAULT_TABLE(X)
#undef X
	};

	for (int f = 0; f < TLS_FAULT_COUNT; f++) {
		if (!str_eqz(fault, names[f]))
			continue;
		pthread_mutex_lock(&s->lock);
		s->fault = (enum tls_fault)f;
		s->times = times;
		pthread_mutex_unlock(&s->lock);
		return 0;
	}
	return ERR_INVALID;
}

struct tls *
tls_new(struct tls_server *s, int fd)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->fd = fd;
	t->ssl = SSL_new(s->ctx);
	if (t->ssl == NULL || SSL_set_fd(t->ssl, fd) != 1) {
		tls_free(t);
		return NULL;
	}
	SSL_set_app_data(t->ssl, t);
	SSL_set_accept_state(t->ssl);
	pthread_mutex_lock(&s->lock);
	if (s->times > 0) {
		s->times--;
		t->fault = s->fault;
	}
	pthread_mutex_unlock(&s->lock);
	return t;
}

void
tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	SSL_free(t->ssl);
	free(t);
}

static ssize_t
tls_result(struct tls *t, int n)
{
	if (n > 0)
		return n;
	switch (SSL_get_error(t->ssl, n)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		errno = ECONNRESET;
		return -1;
	}
}

/* The client's first bytes, in a handshake that will come to nothing. */
static ssize_t
tls_refuse(struct tls *t)
{
	char hello[4096];
	ssize_t n = recv(t->fd, hello, sizeof(hello), 0);

	if (n <= 0)
		return n;
	if (t->fault == TLS_FAULT_STALL) {
		errno = EAGAIN;
		return -1;
	}
	if (t->fault == TLS_FAULT_PLAIN)
		(void)!send(t->fd, tls_plain_answer,
		    sizeof(tls_plain_answer) - 1, MSG_NOSIGNAL);
	return 0;
}

ssize_t
tls_recv(struct tls *t, void *p, size_t n)
{
	if (t->fault != TLS_FAULT_NONE && t->fault != TLS_FAULT_ALERT)
		return tls_refuse(t);
	ERR_clear_error();
	return tls_result(
	    t, SSL_read(t->ssl, p, n > INT32_MAX ? INT32_MAX : (int)n));
}

ssize_t
tls_send(struct tls *t, const void *p, size_t n)
{
	ssize_t sent;

	ERR_clear_error();
	sent = tls_result(
	    t, SSL_write(t->ssl, p, n > INT32_MAX ? INT32_MAX : (int)n));
	if (sent == 0) {
		errno = EPIPE;
		return -1;
	}
	return sent;
}

/* OpenSSL sends an alert when it reads what it cannot decrypt. */
static void
tls_alert(struct tls *t)
{
	BIO *garbage = BIO_new_mem_buf(tls_garbage, sizeof(tls_garbage));
	char byte;

	if (garbage == NULL)
		return;
	SSL_set0_rbio(t->ssl, garbage);
	(void)!SSL_read(t->ssl, &byte, 1);
}

void
tls_end(struct tls *t, enum conn_end how)
{
	ERR_clear_error();
	switch (how) {
	case CONN_ALERT:
		tls_alert(t);
		break;
	case CONN_CORRUPT:
		(void)!send(
		    t->fd, tls_garbage, sizeof(tls_garbage), MSG_NOSIGNAL);
		break;
	case CONN_NOTIFY:
		if (SSL_is_init_finished(t->ssl))
			(void)SSL_shutdown(t->ssl);
		break;
	default:
		break;
	}
}
