/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A test CA, a server certificate of it for control.test and localhost with
 * its key, and another CA. Valid for a hundred years; worthless elsewhere.
 */
#ifndef TESTS_UNIT_PROTO_TLS_FIXTURE_H
#define TESTS_UNIT_PROTO_TLS_FIXTURE_H

static const char tls_ca[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBjTCCATOgAwIBAgIUHrkBFqvRc2seP+WQifPRXAVPL/MwCgYIKoZIzj0EAwIw\n"
    "GzEZMBcGA1UEAwwQaGVhZGdhdGUgdGVzdCBDQTAgFw0yNjExMjIxMTM1MzJaGA8y\n"
    "MTI2MTAyOTExMzUzMlowGzEZMBcGA1UEAwwQaGVhZGdhdGUgdGVzdCBDQTBZMBMG\n"
    "ByqGSM49AgEGCCqGSM49AwEHA0IABHp56zlwRkeHk8NYmk/X/5lLBx/DHhItAiJU\n"
    "1muo66yYZmFX3hNzVPGvYCvrDSFS52oscVHGvXwdpe6hlIXE5RmjUzBRMB0GA1Ud\n"
    "DgQWBBQTC1IN5LPMM7elTpSq83Kjh7ExwjAfBgNVHSMEGDAWgBQTC1IN5LPMM7el\n"
    "TpSq83Kjh7ExwjAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQDx\n"
    "EEMyE43AAmS/1IuOO4VV4O9nUcQ61LfeIjGHI/6fCgIgMtE89wZ/43wurRXcDZRr\n"
    "dLahYnd9c7aoi4xWvNGsAI0=\n"
    "-----END CERTIFICATE-----\n";

static const char tls_cert[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBsjCCAVegAwIBAgIUarlE9R+otP3Ny8FhkK6cdHawe4owCgYIKoZIzj0EAwIw\n"
    "GzEZMBcGA1UEAwwQaGVhZGdhdGUgdGVzdCBDQTAgFw0yNjExMjIxMTM1MzJaGA8y\n"
    "MTI2MTAyOTExMzUzMlowFzEVMBMGA1UEAwwMY29udHJvbC50ZXN0MFkwEwYHKoZI\n"
    "zj0CAQYIKoZIzj0DAQcDQgAEOzRBnA4RH9hFvf3Z/yS9gD1mjzD1/8fGY6IngZF3\n"
    "exe11StGF61gorzqp2Xjb80atbvZKrgBhyHLo4pGygunP6N7MHkwIgYDVR0RBBsw\n"
    "GYIMY29udHJvbC50ZXN0gglsb2NhbGhvc3QwEwYDVR0lBAwwCgYIKwYBBQUHAwEw\n"
    "HQYDVR0OBBYEFLyTORMTHlBnSKNiJbzXUMPNS5OCMB8GA1UdIwQYMBaAFBMLUg3k\n"
    "s8wzt6VOlKrzcqOHsTHCMAoGCCqGSM49BAMCA0kAMEYCIQCO+npRWO9YjuT9HgYb\n"
    "juH8tnWgDJQBCXniYzkMhAEpbAIhAPSkqeIEhf8BjJSHXH/7HSVrk7w98iQcxGT7\n"
    "C+KhVJdg\n"
    "-----END CERTIFICATE-----\n";

static const char tls_key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg3yhudyc4WNXVoI11\n"
    "VBLXOLKYC1OtEwj1h1EMlGnu/y+hRANCAAQ7NEGcDhEf2EW9/dn/JL2APWaPMPX/\n"
    "x8ZjoieBkXd7F7XVK0YXrWCivOqnZeNvzRq1u9kquAGHIcujikbKC6c/\n"
    "-----END PRIVATE KEY-----\n";

static const char tls_other_ca[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBfTCCASOgAwIBAgIUOf+X6KzGE7KoCaLTkHfOON16UfYwCgYIKoZIzj0EAwIw\n"
    "EzERMA8GA1UEAwwIb3RoZXIgQ0EwIBcNMjYxMTIyMTEzNTMyWhgPMjEyNjEwMjkx\n"
    "MTM1MzJaMBMxETAPBgNVBAMMCG90aGVyIENBMFkwEwYHKoZIzj0CAQYIKoZIzj0D\n"
    "AQcDQgAERUN6KcmKUw0fS7mzFk7hkUqa+QCJqW8J7rPqNGo6rX3Wmu0oIEPxJ6/h\n"
    "MSlEIwI3s57pgw6COL663N4BmFfaGaNTMFEwHQYDVR0OBBYEFPjJ4kd7/j0y69jF\n"
    "qeUADGU3gM1aMB8GA1UdIwQYMBaAFPjJ4kd7/j0y69jFqeUADGU3gM1aMA8GA1Ud\n"
    "EwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIgakr9d78RBsU0ZUdYaJrUVSFy\n"
    "ZZCYHxhkJAICC0E2NGwCIQDIh6fKZGVm8FJEQtrQcnEfjnL0wO+Nha2jTNTT7NeL\n"
    "pQ==\n"
    "-----END CERTIFICATE-----\n";

#endif
