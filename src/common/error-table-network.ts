/** What can fail about addresses, networks, names, published ports and sites. */
import { fault, mistake } from './error-spec.ts';

export const NETWORK_ERRORS = {
  ADDRESS_OUTSIDE: mistake(
    422,
    1,
    'the address {address} is outside the network {network}',
    'choose one inside it, or leave it out to have one assigned',
  ),
  ADDRESS_IN_USE: mistake(
    409,
    1,
    'the address {address} is in use by {owner}',
    'choose another, or leave it out to have one assigned',
  ),
  ADDRESSES_EXHAUSTED: mistake(
    507,
    1,
    'the network {network} has no free address',
    'remove applications, or start the daemon with a larger --network',
  ),
  BAD_NETWORK: mistake(
    400,
    2,
    'the network {network} cannot be used: {reason}',
    'give an IPv4 network such as 10.10.0.0/16 that no other interface has',
  ),
  NETWORK_NOT_FOUND: mistake(
    404,
    1,
    'no network is called {name}',
    '`appshot network ls` lists them; `appshot network create` makes one',
  ),
  NETWORK_TAKEN: mistake(
    409,
    1,
    'the name {name} is taken by another network',
    'choose another name, or remove that one with `appshot network rm`',
  ),
  PORT_TAKEN: mistake(
    409,
    1,
    'the port {port} cannot be published: {owner} has it',
    'publish another port, or make both instances of one service',
  ),
  PORTS_UNAVAILABLE: fault(
    503,
    'ports cannot be published: {reason}',
    'leave out --publish, or see what `appshot doctor` says of the kernel',
  ),
  NETWORK_IN_USE: mistake(
    409,
    1,
    'the network {name} cannot be removed: {applications} belong to it',
    'remove them first with `appshot rm`',
  ),
  NETWORKS_EXHAUSTED: mistake(
    507,
    1,
    'no network from 10.11.0.0/16 to 10.255.0.0/16 is free',
    'give one with --cidr, or remove others with `appshot network rm`',
  ),
  NAMES_PORT_TAKEN: mistake(
    409,
    1,
    'the name server of {network} cannot listen on {address} port {port} ({protocol}): another program does',
    'have that program listen on other addresses; `ss -lnp sport = :{port}` names it',
  ),
  GATEWAY_FAILED: fault(
    503,
    'the web gateway does not work: {reason}',
    'see docs/gateway.md; the end of its log is in the gateway directory',
  ),
  GATEWAY_OFF: mistake(
    409,
    1,
    'the site {site} cannot be served: this daemon has no web gateway',
    'start the daemon with --http 80',
  ),
  SITE_TAKEN: mistake(
    409,
    1,
    'the site {site} cannot be served: {owner} has it',
    'choose another host name or path, or make both instances of one service',
  ),
  BAD_SITE: mistake(400, 2, 'the site {host} cannot be served: {reason}', 'see docs/gateway.md'),
  BAD_CERTIFICATE: mistake(
    422,
    1,
    'the certificate {path} cannot be used: {reason}',
    'give a PEM file with the certificate, its chain and its key',
  ),
};
