import { describe, expect, test } from '@jest/globals'
import { rmSync } from 'node:fs'
import { newFolder } from '../../spool/opening.ts'
import { count, figure, randomFrom, seed } from '../form.ts'
import { damageNumber } from './damages.ts'
import { makeImages } from './images.ts'
import { judge } from './judge.ts'

const damages = Number(process.env['FAULT_DAMAGES'] ?? count({ short: 62, long: 1000 }))

describe('a spool that was damaged while nobody held it', () => {
  test('loses nothing that is intact, hides nothing that is not, and says how far it went', () => {
    const start = seed()
    const images = makeImages(randomFrom(start))
    const wrong: string[] = []
    let noticed = 0
    for (let number = 0; number < damages; number += 1) {
      const random = randomFrom(start + number)
      const image = images[Math.floor(random() * images.length)] as (typeof images)[number]
      const damaged = damageNumber(number, image, random)
      const dir = newFolder()
      try {
        const judgement = judge(dir, image, damaged)
        if (judgement.noticed) noticed += 1
        if (judgement.problems.length > 0)
          wrong.push(`${number}: ${damaged.kind}: ${judgement.problems.slice(0, 3).join('; ')}`)
      } finally {
        rmSync(dir, { recursive: true, force: true })
      }
    }
    figure('damaged spool', 'damages', damages)
    figure('damaged spool', 'set aside, found later, or refused', noticed, 'all that alter or hide a record')
    figure('damaged spool', 'wrong', wrong.length, 'none')
    expect(wrong).toEqual([])
  }, 900_000)
})
