/** The CustomResourceDefinitions of this version of Countersign: made from the broker's schemas by `npm run generate`. */
export const CRDS = [
  { name: 'identitytemplates.countersign.dev', version: 'v1alpha1', digest: '619e81a04760ea08' },
] as const
