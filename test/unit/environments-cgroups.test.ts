import { describe, expect, it } from 'vitest';
import { parseCgroupMounts } from '../../src/environments/cgroups.ts';
import { insidePath } from '../../src/environments/index.ts';

const OTHERS = String.raw`23 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
24 23 0:22 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
26 23 0:24 / /sys rw,nosuid,nodev,noexec,relatime shared:2 - sysfs sysfs rw
60 23 254:1 /srv/cgroup /mnt/cgroup rw,relatime - ext4 /dev/vda1 rw,errors=remount-ro`;
const TMPFS = '31 26 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755';
const HYBRID = `${TMPFS}
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid,relatime shared:10 - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime master:4 propagate_from:2 - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate`;
const V1 = {
  cpu: '/sys/fs/cgroup/cpu,cpuacct',
  memory: '/sys/fs/cgroup/memory',
  pids: '/sys/fs/cgroup/pids',
};

describe('the mounts of control groups', () => {
  it('are one on a machine with v2 only', () => {
    const v2 =
      '30 26 0:27 / /sys/fs/cgroup rw,nosuid,nodev shared:4 - cgroup2 cgroup2 rw,memory_recursiveprot';
    expect(parseCgroupMounts(`${OTHERS}\n${v2}\n`)).toEqual({ unified: '/sys/fs/cgroup', v1: {} });
  });

  it('are one for each controller on a machine with v1 only', () => {
    const v1 = HYBRID.split('\n').slice(0, -1).join('\n');
    expect(parseCgroupMounts(`${OTHERS}\n${v1}\n`)).toEqual({ v1: V1 });
  });

  it('are both on a hybrid machine', () => {
    expect(parseCgroupMounts(`${OTHERS}\n${HYBRID}\n`)).toEqual({
      unified: '/sys/fs/cgroup/unified',
      v1: V1,
    });
  });

  it('are none where none is mounted', () => {
    expect(parseCgroupMounts(`${OTHERS}\n${TMPFS}\n`)).toEqual({ v1: {} });
    expect(parseCgroupMounts('')).toEqual({ v1: {} });
  });

  it('are taken where they were mounted first', () => {
    const again = '99 23 0:38 / /mnt/again rw,relatime - cgroup2 cgroup2 rw';
    expect(parseCgroupMounts(`${HYBRID}\n${again}`).unified).toBe('/sys/fs/cgroup/unified');
  });

  it('may have names with spaces', () => {
    const line = String.raw`41 31 0:38 / /mnt/my\040groups\134v2 rw,relatime - cgroup2 my\040source rw`;
    expect(parseCgroupMounts(line).unified).toBe(String.raw`/mnt/my groups\v2`);
  });
});

describe('a path of this machine, inside an application', () => {
  const engine = '/var/lib/appshot/engine';

  it.each([
    ['/var/lib/appshot/engine/criu-4.1.1/sbin/criu', '/.appshot/engine/criu-4.1.1/sbin/criu'],
    ['/var/lib/appshot/engine', '/.appshot/engine'],
    ['/usr/sbin/criu', '/usr/sbin/criu'],
    ['/var/lib/appshot/engine-old/criu', '/var/lib/appshot/engine-old/criu'],
    ['/var/lib/appshot', '/var/lib/appshot'],
    ['/', '/'],
  ])('%s is %s', (outside, inside) => {
    expect(insidePath(engine, outside)).toBe(inside);
  });
});
