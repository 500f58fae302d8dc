/** System services of the Executive itself: console, time, events, waits, system tables, shutdown. */
import type { Caller, ProcessInfo } from '#sel4/api'
import {
  encodeModules,
  encodeProcesses,
  SystemBootConsoleInformation,
  SystemModuleInformation,
  SystemProcessInformation,
} from '#contracts/sysinfo'
import { StatusError } from '#rtl'
import type { Executive, Services } from '../executive.ts'
import { COLUMNS, ROWS } from '../hal/console.ts'
import { Event } from '../ke/event.ts'
import { milliseconds, waitFor } from '../ke/wait.ts'
import { NtObject } from '../ob/index.ts'
import { openByName, rootOf } from '../ob/services.ts'

type SystemWide = Pick<
  Services,
  'NtDisplayString' | 'NtQuerySystemInformation' | 'NtShutdownSystem' | 'NtQuerySystemTime'
>
type Events = Pick<Services, 'NtCreateEvent' | 'NtOpenEvent' | 'NtSetEvent' | 'NtResetEvent'>
type Waits = Pick<Services, 'NtWaitForSingleObject' | 'NtDelayExecution'>
const EVENT_MODIFY_STATE = 0x2
const SynchronizationEvent = 1
const TIME_UNITS_PER_MS = 10_000
/** What an answer can carry. */
const TABLE_MAX = 32_768

export const exServices = (ex: Executive): SystemWide & Events & Waits => ({
  ...systemServices(ex),
  ...eventServices(ex),
  ...waitServices(ex),
})

function systemServices(ex: Executive): SystemWide {
  return {
    async NtDisplayString({ String }) {
      await ex.console.write(String)
      return {}
    },
    async NtQuerySystemInformation({ SystemInformationClass, SystemInformationLength }) {
      const bytes = await systemTable(ex, SystemInformationClass)
      if (bytes.length > Math.min(SystemInformationLength, TABLE_MAX))
        throw new StatusError('STATUS_INFO_LENGTH_MISMATCH')
      return { SystemInformation: bytes, ReturnLength: bytes.length }
    },
    async NtShutdownSystem({ Action, ExitStatus }) {
      if (Action > 2) throw new StatusError('STATUS_INVALID_PARAMETER')
      return ExitStatus
        ? ex.power.shutDown(1, 'the system was shut down; a command before that had failed')
        : ex.power.shutDown(0, 'NtShutdownSystem')
    },
    NtQuerySystemTime: () => ({ SystemTime: ex.env.clock.systemTime() }),
  }
}
function eventServices(ex: Executive): Events {
  const { ob, ps } = ex
  const event = (caller: Caller, handle: number): Event =>
    ob.fromHandle(ps.byBadge(caller.badge), handle, Event, EVENT_MODIFY_STATE)
  return {
    NtCreateEvent({ DesiredAccess, ObjectAttributes, EventType, InitialState }, caller) {
      if (EventType > SynchronizationEvent) throw new StatusError('STATUS_INVALID_PARAMETER')
      const process = ps.byBadge(caller.badge)
      const created = new Event(EventType === SynchronizationEvent, InitialState)
      const EventHandle = ob.createHandle(process, created, DesiredAccess)
      try {
        const root = ObjectAttributes && rootOf(ex, process, ObjectAttributes)
        if (ObjectAttributes?.ObjectName) ob.insert(ObjectAttributes.ObjectName, created, { root })
      } catch (error) {
        void ob.close(process, EventHandle)
        throw error
      }
      return { EventHandle }
    },
    NtOpenEvent({ DesiredAccess, ObjectAttributes }, caller) {
      const process = ps.byBadge(caller.badge)
      return { EventHandle: ob.createHandle(process, openByName(ex, process, ObjectAttributes, Event), DesiredAccess) }
    },
    NtSetEvent: ({ EventHandle }, caller) => ({ PreviousState: event(caller, EventHandle).set() ? 1 : 0 }),
    NtResetEvent: ({ EventHandle }, caller) => ({ PreviousState: event(caller, EventHandle).reset() ? 1 : 0 }),
  }
}
function waitServices(ex: Executive): Waits {
  const { ob, ps } = ex
  return {
    async NtWaitForSingleObject({ Handle, Timeout }, caller) {
      const process = ps.byBadge(caller.badge)
      const object = ob.fromHandle(process, Handle, NtObject).waitable()
      if (!object) throw new StatusError('STATUS_OBJECT_TYPE_MISMATCH')
      return { Status: await waitFor(ex.env.clock, object, Timeout, process) }
    },
    async NtDelayExecution({ DelayInterval }) {
      await ex.env.clock.sleep(milliseconds(ex.env.clock, DelayInterval))
      return {}
    },
  }
}

async function systemTable(ex: Executive, informationClass: number): Promise<Uint8Array> {
  if (informationClass === SystemProcessInformation) return processTable(ex)
  if (informationClass === SystemModuleInformation) {
    return encodeModules(
      ex.io.drivers().map((driver) => ({ FullPathName: `\\SystemRoot\\drivers\\${driver.name}.sys`, ImageSize: 0 })),
    )
  }
  if (informationClass === SystemBootConsoleInformation) return new Uint8Array(new Uint32Array([COLUMNS, ROWS]).buffer)
  throw new StatusError('STATUS_INVALID_INFO_CLASS')
}
async function processTable(ex: Executive): Promise<Uint8Array> {
  const running = new Map<string, ProcessInfo>((await ex.root.processes()).map((info) => [info.name, info]))
  return encodeProcesses(
    ex.ps.all().map((process) => {
      const info = running.get(process.name)
      return {
        UniqueProcessId: process.pid,
        ImageName: process.name,
        HandleCount: process.handles.size,
        NumberOfThreads: 1,
        WorkingSetSize: (info?.rssKb ?? 0) * 1024,
        UserTime: (info?.cpuMs ?? 0) * TIME_UNITS_PER_MS,
      }
    }),
  )
}
