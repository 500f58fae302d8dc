/** A small manifest's picture, line by line; the standard system's is docs/system.md, which the check compares. */
import { expect } from 'chai'
import { load } from '../../test/manifest/support.ts'
import { graphOf } from './graph.ts'

describe('neptune graph', () => {
  it('draws who may call whom, reach which registers, hear which interrupts, use which memory', () => {
    expect(graphOf(load({}))).equal(`flowchart TB
  subgraph Programs["Programs"]
    p_shell["shell"]
  end
  subgraph Root_task["Root task"]
    p_task["task"]
  end
  subgraph Drivers["Drivers"]
    p_kbd["kbd"]
    p_storage["storage"]
  end
  subgraph Machine["Machine"]
    p_panel["panel"]
    p_keyboard["keyboard"]
    p_bus["bus"]
    p_disk0["disk0"]
  end
  subgraph Memory["Memory"]
    b_metadata[("metadata<br>16 MiB")]
    b_clients[("clients<br>8 MiB")]
  end
  p_panel -->|"keys: KeyboardCable"| p_keyboard
  p_bus -->|"slot: PciFunction"| p_disk0
  p_kbd -->|"ExecutiveServices"| p_task
  p_storage -->|"ExecutiveServices"| p_task
  p_shell -->|"ExecutiveServices"| p_task
  p_kbd ==>|"port 0x60"| p_keyboard
  p_keyboard -.->|"irq 1"| p_kbd
  p_storage ==>|"ports 0xcf8–0xcff"| p_bus
  p_storage ==>|"registers 0xfebf1000"| p_disk0
  p_disk0 -.->|"irq 11"| p_storage
  p_task ---|"16 MiB"| b_metadata
  p_task ---|"8 MiB"| b_clients
  p_task -.-|"IOMMU"| p_disk0
  p_storage ---|"4 MiB"| b_clients
  p_shell ---|"2 MiB"| b_clients
`)
  })
  it('gives a device that nobody claims to whom resources are assigned', () => {
    const text = graphOf(load({ 'launch.json': { images: { kbd: null } } }))
    expect(text).match(/p_storage ==>\|"port 0x60<br>port 0x64"\| p_keyboard$/m)
    expect(text).not.match(/p_kbd/)
  })
})
